"""`piaa app`: a page in the browser for people who do not program.

Comes in: pictures and words. Goes out: labels that a person has looked at, in any format of `piaa.exchange`. The server
answers this machine alone, and only a browser that has the key of this run. The page is plain HTML with scripts of its
own; it loads nothing from anywhere else.

One way through: places, pictures, work (learn and tag) -> view (what is seen), inquiry (what is asked) -> session (all
that one run knows) -> leaving (what is taken away) -> server (HTTP, behind guard).
"""

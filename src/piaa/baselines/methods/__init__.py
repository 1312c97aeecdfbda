"""One file a method; `piaa.baselines.METHODS` is the table."""

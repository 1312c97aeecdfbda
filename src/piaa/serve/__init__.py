"""An HTTP service that tags images: `piaa serve`. Needs `piaa[serve]`."""

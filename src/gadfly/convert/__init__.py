"""Models from one kind of file into another, quantised on the way, in bounded memory and resumable."""

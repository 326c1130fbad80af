"""The skills that the embedded specialists are taught, a file each."""

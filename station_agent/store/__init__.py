"""What survives a power cut. One connection and one writer thread per file (safety.md D4)."""

"""What stations send becomes rows: checked, dated, and counted once."""

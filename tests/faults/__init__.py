"""The fault campaigns: what no fault may do, tried at length. ``make faults`` runs them and writes one report."""

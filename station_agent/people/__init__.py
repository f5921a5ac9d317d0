"""Whose face may be kept here: enrolled at the kiosk, withdrawn, copied to other stations and from them, ended in time."""

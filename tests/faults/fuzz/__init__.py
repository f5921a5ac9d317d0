"""Every parser of something that comes from outside, fed with what nobody should send."""

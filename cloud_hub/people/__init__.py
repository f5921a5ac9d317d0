"""People, groups, the calendar, consents and enrolment codes."""

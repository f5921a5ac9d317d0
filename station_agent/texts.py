"""What a person at the door is told for each reason code: one English sentence, which is also the catalogues' key.

A sentence says what to do next, never who somebody is, and never more about a PIN or a pass than that it does not open.
"""

from typing import Final


def mark(text: str) -> str:
    """Mark a text for the catalogues where it is written; whoever shows it translates it."""
    return text


_FACE: Final = {
    "unknown_face": mark("Your face was not recognised. Please use your pass or PIN, or press Help."),
    "ambiguous_face": mark("Your face could not be told apart with certainty. Please use your pass or PIN."),
    "several_faces": mark("One person only, please."),
    "too_small": mark("Please come closer."),
    "not_frontal": mark("Please look straight at the camera."),
    "too_dark": mark("It is too dark. Please turn your face to the light."),
    "too_bright": mark("It is too bright. Please turn away from the light behind you or on your face."),
    "blurred": mark("Please hold still for a moment."),
}

_LIVENESS: Final = {
    "stale_frame": mark("The camera's picture stands still. Please use your pass or PIN."),
    "repeated_frame": mark("The camera's picture stands still. Please use your pass or PIN."),
    "identity_changed": mark("Please stay before the camera alone until the door opens."),
    "face_lost": mark("Your face went out of view. Please try again."),
    "too_slow": mark("The time is over. Please try again, or use your pass or PIN."),
    "wrong_step": mark("That was another movement than the one asked for. Please try again."),
    "flat_turn": mark("Please turn your head itself. Please try again."),
    "replay_suspected": mark("The check for a real face did not succeed. Please use your pass or PIN."),
    "screen_pattern": mark("The check for a real face did not succeed. Please use your pass or PIN."),
    "straight_border": mark("The check for a real face did not succeed. Please use your pass or PIN."),
}

_STEPS: Final = {
    "look_straight": mark("Please look straight at the camera."),
    "turn_left": mark("Please turn your head slowly to your left."),
    "turn_right": mark("Please turn your head slowly to your right."),
    "come_closer": mark("Please bring your face closer to the camera."),
}

_PASSES: Final = {
    "pass_malformed": mark("This code is not a pass of ours."),
    "pass_unknown_key": mark("This pass cannot be checked here. Please ask for a new one."),
    "pass_altered": mark("This pass is not valid."),
    "pass_revoked": mark("This pass has been withdrawn. Please ask for a new one."),
    "pass_wrong_station": mark("This pass is for another station."),
    "pass_not_yet_valid": mark("This pass is not valid yet."),
    "pass_expired": mark("This pass has expired. Please ask for a new one."),
    "pass_replayed": mark("This pass has been used up. Please ask for a new one."),
    "pass_uses_unknown": mark(
        "This station cannot tell whether this pass was used before. Please ask for a new one."
    ),
}

_PINS: Final = {
    "pin_wrong": mark("The number and the PIN do not go together. Please try again."),
    "pin_not_six_digits": mark("A PIN has six digits."),
    "pin_too_simple": mark("This PIN is too easy to guess. Please choose another."),
    "pin_like_number": mark("The PIN must not be like your number. Please choose another."),
    "pin_duress_too_close": mark("The two PINs must differ in at least two digits."),
    "locked_out": mark("Too many attempts. Please wait a little, or use another way in."),
    "locked_until_forgiven": mark("This way in is shut for you. Please use another way in, or press Help."),
}

_POLICY: Final = {
    "no_roster": mark("This station does not know yet who may enter. Please press Help."),
    "not_on_roster": mark("You are not registered at this station. Please press Help."),
    "person_inactive": mark("Your access is switched off. Please press Help."),
    "face_not_allowed": mark("Entry by face is off for you. Please use your pass or PIN."),
    "no_group": mark("No opening hours are set for you. Please press Help."),
    "wrong_door": mark("This door is not for you. Please use another door."),
    "outside_hours": mark("The station is closed for you now."),
    "not_yet_opened": mark("The station has not been opened today yet. Please wait for the staff."),
    "no_guests": mark("This station takes no guests."),
    "guest_cap": mark("The station has taken all its guests for today. Please press Help."),
    "clock_unsynchronised": mark(
        "The station does not know the time just now. Please use another way in, or press Help."
    ),
}

_ENROLMENT: Final = {
    "code_wrong": mark("This code is not right. Please look at it again, or ask for a new one."),
    "code_expired": mark("This code has expired. Please ask for a new one."),
    "code_used": mark("This code was used before. Please ask for a new one."),
    "code_time_unknown": mark(
        "The station does not know the time just now, so it cannot check codes. Please try again later."
    ),
    "under_age": mark(
        "Whoever is under 14 cannot register a face. Please use a pass or PIN. Nothing was kept."
    ),
    "already_enrolled": mark("Your face could not be registered. Nothing was kept. Please ask the staff."),
    "no_camera": mark("This door has no camera for it just now. Please use your pass or PIN."),
    "face_off": mark("Entry by face is off at this station. Please use your pass or PIN."),
    "station_busy": mark("That did not work just now. Nothing was kept. Please try again."),
}

_MODES: Final = {
    "locked_down": mark("Entry is stopped at this door for now. You can always leave from inside."),
    "not_held_open": mark("The door no longer opens by touch. Please use your face, pass or PIN."),
    "wait_a_moment": mark("Please wait a moment, then touch again."),
    "fire_active": mark("Fire alarm! The door is released. Everybody out, nobody in."),
}

_HOUSE: Final = {
    "gallery_too_large": mark("Entry by face is off at this station. Please use your pass or PIN."),
    "storage_full": mark("The station's storage is full. Please use another way in, or press Help."),
}

TEXTS: Final[dict[str, str]] = {
    **_FACE,
    **_LIVENESS,
    **_STEPS,
    **_PASSES,
    **_PINS,
    **_POLICY,
    **_ENROLMENT,
    **_MODES,
    **_HOUSE,
}
"""By reason code; and by step of the liveness check."""

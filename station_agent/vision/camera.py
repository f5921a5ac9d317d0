"""Opens the camera a hardware profile names. Exactly that one: there is no fallback to another."""

from firmware_config.profiles import CameraWiring
from station_agent.clock import Clock
from station_agent.vision.camera_live import GRABBERS, LiveCamera
from station_agent.vision.camera_port import Camera, CameraLost
from station_agent.vision.camera_replay import PushedCamera, folder_camera, video_camera

__all__ = ["Camera", "CameraLost", "PushedCamera", "open_camera"]


def open_camera(wiring: CameraWiring, clock: Clock) -> Camera:
    """Open a camera.

    Raises:
        CameraLost: it cannot be opened; the message names it.
    """
    if wiring.kind == "folder":
        return folder_camera(wiring, clock)
    if wiring.kind == "video":
        return video_camera(wiring, clock)
    if wiring.kind == "simulated":
        return PushedCamera(clock, name=wiring.id)
    return LiveCamera(GRABBERS[wiring.kind](wiring), clock, name=wiring.id)

"""What the rules of `pipeline.finding_rules` are made of: their form, and expressions that several share."""

from dataclasses import dataclass

HEART = (
    r"(?:heart|cardiac(?: silhouette| shadow| contours?)?|"
    r"cardio-?mediastinal(?: silhouette| contours?)?|cardio-?pericardial)"
)
LARGE = r"(?:enlarge\w*|large|increased|prominent)"
LIMITS = r"(?:normal|unremarkable|within limits|not enlarged)"
SPINE = r"(?:spine|spinal|vertebra\w*|disc|endplate|spondyl\w*)"
DEGENERATIVE = r"(?:degenerat\w+|arthros\w+)"  # spondylosis and arthritis are findings of their own
THORACIC = r"(?:mid-?)?(?:thoracic|thoracolumbar|dorsal|t-)"
LUNG = r"(?:lungs?|lung fields|lung volumes?|lung zones?|airspaces?)"
MARKINGS = r"(?:interstitial|broncho\w+|perihilar|lung|pulmonary|vascular|reticular|bibasilar) markings"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """How one finding is worded."""

    labels: tuple[str, ...]
    present: tuple[str, ...]
    absent: tuple[str, ...] = ()

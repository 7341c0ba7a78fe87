"""DICOM without Django: read, check, put in order, sort, and take identity out."""

import logging

from pydicom import config as _config

# What pydicom says of odd values quotes them, and they may be a patient's: it says nothing.
_config.debug(debug_on=False, default_handler=False)
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)

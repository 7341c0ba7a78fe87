"""What was found as DICOM objects, beside the images that it was found in; framework-free.

``film`` says what goes in. ``corrected``, ``flow_map``, ``masks`` and ``measurements`` each make
one kind of object, and ``relink`` gives objects back the identity under which an archive holds the
examination.
"""

import logging

# What highdicom says while it works names the instances it works on: it says nothing.
logging.getLogger("highdicom").setLevel(logging.CRITICAL + 1)

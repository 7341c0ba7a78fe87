"""Object classes that are taken in, as plain text: every process of the site loads this."""

from __future__ import annotations

#: MR Image and Enhanced MR Image: what MCAQ takes; engines that name nothing take the same.
MR_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"})

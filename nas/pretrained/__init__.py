"""Donors: published networks with their weights, from a package, a file or timm's hub."""

from nas.pretrained.donor import Donor
from nas.pretrained.sources import PACKAGES, load_donor, package_installed
from nas.pretrained.teacher import Teacher, check_teacher, load_teacher

__all__ = [
    "PACKAGES",
    "Donor",
    "Teacher",
    "check_teacher",
    "load_donor",
    "load_teacher",
    "package_installed",
]

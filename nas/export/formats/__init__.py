"""One file per export format; the registry `nas.export.format.FORMATS` finds them."""

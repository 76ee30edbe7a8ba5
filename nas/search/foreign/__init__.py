"""Search tools of other projects behind our ask and tell; each is imported only when used."""

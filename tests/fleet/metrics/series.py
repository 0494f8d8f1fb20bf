from realfleet.series import build_recorded, build_scraped

__all__ = ["build_recorded", "build_scraped"]

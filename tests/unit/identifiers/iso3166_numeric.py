"""Makes the table of assigned ISO 3166-1 numeric codes from pycountry.

    python -m tests.unit.identifiers.iso3166_numeric > domain/identifiers/data/iso3166_numeric.json

The date is that of the pycountry release, whose version is a calendar date.
"""

import datetime
import importlib.metadata
import json

import pycountry


def table() -> dict[str, object]:
    version = importlib.metadata.version("pycountry")
    year, month, day = (int(part) for part in version.split(".")[:3])
    return {
        "date": datetime.date(2000 + year, month, day).isoformat(),
        "source": f"ISO 3166-1 numeric, assigned codes, from pycountry {version}",
        "codes": sorted({country.numeric for country in pycountry.countries}),
    }


if __name__ == "__main__":
    print(json.dumps(table(), indent=2))

"""Writes places.mmdb, the database of the tests: python3 -m pip install mmdb-writer==0.2.7 netaddr, then run this.

Documentation networks (RFC 5737, RFC 3849) and loopback only, so that nobody takes it for a real one.
"""

from netaddr import IPSet
from mmdb_writer import MMDBWriter

PLACES = [
    ("198.51.100.0/24", "EU", "DE", 50.11, 8.68),
    ("203.0.113.0/25", "NA", "US", 39.04, -77.49),
    ("203.0.113.128/25", "NA", "CA", 45.5, -73.57),
    ("2001:db8:10::/44", "EU", "FR", 48.86, 2.35),
    ("192.0.2.0/28", "OC", "NZ", None, None),
    # For clients that really connect.
    ("127.0.9.0/24", "SA", "PE", None, None),
]

writer = MMDBWriter(
    ip_version=6, ipv4_compatible=True, database_type="Nearcast-Test-City", float_type="f64",
    description="Places of the geo tests", languages=["en"],
)
for network, continent, country, latitude, longitude in PLACES:
    record = {"continent": {"code": continent}, "country": {"iso_code": country}}
    if latitude is not None:
        record["location"] = {"latitude": latitude, "longitude": longitude}
    writer.insert_network(IPSet([network]), record)
writer.to_db_file("places.mmdb")

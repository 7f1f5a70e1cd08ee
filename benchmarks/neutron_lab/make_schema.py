"""Neutron's tables in an empty PostgreSQL: its own migrations run on MySQL only. Usage: make_schema.py URL"""

import sys
import uuid

import sqlalchemy as sa
from neutron.db.migration.models import head


def main(url):
    metadata = head.get_metadata()
    engine = sa.create_engine(url)
    metadata.create_all(engine)
    attributes = metadata.tables["standardattributes"]
    templates = metadata.tables["securitygroupdefaultrules"]
    # Without these rows, which a migration inserts, every project's first port fails.
    with engine.begin() as connection:
        for direction in ("egress", "ingress"):
            for ethertype in ("IPv4", "IPv6"):
                row = sa.insert(attributes).values(resource_type="securitygroupdefaultrules")
                (attribute_id,) = connection.execute(row).inserted_primary_key
                connection.execute(
                    sa.insert(templates).values(
                        id=str(uuid.uuid4()),
                        standard_attr_id=attribute_id,
                        direction=direction,
                        ethertype=ethertype,
                        remote_group_id="PARENT" if direction == "ingress" else None,
                        used_in_default_sg=True,
                        used_in_non_default_sg=direction == "egress",
                    )
                )


if __name__ == "__main__":
    main(sys.argv[1])

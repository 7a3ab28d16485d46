"""The independent eye of the plugin's tests: openstacksdk, in the environment of the test cloud.

python eye.py CLOUDS.yaml volumes              all volumes, of every project
python eye.py CLOUDS.yaml projects             the projects of the domain `seca`
python eye.py CLOUDS.yaml delete-volume ID     as an operator who forgets Secaplane
python eye.py CLOUDS.yaml twin ID              a second volume with the name and metadata of one
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import openstack


def main(clouds: str, command: str, *arguments: str) -> None:
    os.environ["OS_CLIENT_CONFIG_FILE"] = clouds
    admin = openstack.connect(cloud="admin")
    commands: dict[str, Callable[..., object]] = {
        "volumes": volumes,
        "projects": projects,
        "delete-volume": delete_volume,
        "twin": twin,
    }
    print(json.dumps(commands[command](admin, *arguments)))


def volumes(admin: Any) -> object:
    return [
        {
            "id": each.id,
            "name": each.name,
            "size": each.size,
            "status": each.status,
            "type": each.volume_type,
            "project": each.project_id,
            "metadata": dict(each.metadata),
            "image": bool(each.volume_image_metadata),
        }
        for each in admin.block_storage.volumes(all_projects=True)
    ]


def projects(admin: Any) -> object:
    domain = admin.identity.find_domain("seca")
    found = admin.identity.projects(domain_id=domain.id)
    return [{"id": each.id, "name": each.name, "tags": list(each.tags)} for each in found]


def delete_volume(admin: Any, id_: str) -> object:
    admin.block_storage.delete_volume(id_)
    admin.block_storage.wait_for_delete(admin.block_storage.get_volume(id_), wait=60)
    return None


def twin(admin: Any, id_: str) -> object:
    one = admin.block_storage.get_volume(id_)
    auth = dict(openstack.connect(cloud="secaplane").config.config["auth"])
    auth.pop("domain_name", None)
    within = openstack.connect(
        auth=auth | {"project_id": one.project_id},
        region_name=admin.config.region_name,
        load_yaml_config=False,
        load_envvars=False,
    )
    made = within.block_storage.create_volume(
        name=one.name, size=one.size, volume_type=one.volume_type, metadata=dict(one.metadata)
    )
    within.block_storage.wait_for_status(made, "available", wait=60)
    return made.id


if __name__ == "__main__":
    main(*sys.argv[1:])

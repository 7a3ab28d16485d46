"""A mechanism driver for neutron's ML2 plugin without an agent: binds every port at once.

Runs in neutron's process, from a copy beside a description of its entry point.
"""

from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api

DETAILS = {portbindings.CAP_PORT_FILTER: True, portbindings.OVS_HYBRID_PLUG: False}


class NoopMechanismDriver(api.MechanismDriver):
    """Leaves a bound port active, as it is when an agent has plugged it."""

    def initialize(self) -> None:
        """Nothing is prepared."""

    @property
    def connectivity(self) -> str:
        """Claims what Open vSwitch gives."""
        return str(portbindings.CONNECTIVITY_L2)

    def bind_port(self, context: api.PortContext) -> None:
        segment = next(iter(context.segments_to_bind), None)
        if segment is not None:
            context.set_binding(
                segment[api.ID],
                portbindings.VIF_TYPE_OVS,
                DETAILS,
                status=constants.PORT_STATUS_ACTIVE,
            )

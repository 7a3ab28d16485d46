"""A cloud that exists only as durable state: for development, tests and drills.

It is a process of its own with a file of its own, so that a reconciler that starts again meets what
it made before, as with any other cloud. `plugin` is the reconciler's side; `server` is the cloud.
"""

from secaplane.plugins.simulated.plugin import SimulatedPlugin as SimulatedPlugin

"""The simulated cloud: a cloud that is only durable state, for development, tests and drills.

It is a process of its own with a file of its own, so that a reconciler that restarts meets what it
created before, as with any other cloud. `plugin` is the reconciler's side, `server` the cloud.
"""

from secaplane.plugins.simulated.plugin import SimulatedPlugin as SimulatedPlugin

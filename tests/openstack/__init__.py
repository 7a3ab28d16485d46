"""A real OpenStack on the loopback for the plugin's tests: keystone, glance, placement, nova with
two fake hypervisors, neutron without agents, cinder on files. Run by `make openstack`, not by
pytest."""

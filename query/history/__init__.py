"""The past of resources, from the `history` read model.

points      the moments that a request names: a time, a position, a version; pure
entries     the events of a resource, and which fields each changed; pure
blame       the event that set each field; pure
derived     status fields that followed from other resources then
past        a resource as it was
lists       a page of a collection as it was
lives       the lives that the past is shown of; pure
read        the application service
http        its routes
"""

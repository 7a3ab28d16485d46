"""The activity in a tenant: accepted requests and reports from the events, refused requests and
reads of operators from the security audit stream.

asked       the filters of a request; pure
pseudonyms  names of callers that a tenant does not know; pure
items       the entries as they are shown; pure
merging     the order of several sources; pure
read        the application service
http        its routes
"""

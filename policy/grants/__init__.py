"""Authorization: roles and role assignments become decisions.

patterns, rules, system_roles   what a role and a role assignment grant; pure
assignments                     an index of them by caller, tenant and workspace; pure
deferred                        roles that were created after their assignment; pure
lives                           former lives of workspaces, in which a scope gives nothing; pure
enforcer                        casbin decides over the few rules that can match a request
filters                         lists that are limited to what the caller may see; pure
policy                          decisions, cached until the tenant's policy changes
escalation                      a role or assignment may not exceed its author's grants; pure
explain, review                 access reviews: the reason of a decision, and who is allowed
"""

"""The SQL queries, one file for each subject; all of them can be called as `questions.<name>`."""

from secaplane.readmodel.questions.declared import DeclaredResource as DeclaredResource
from secaplane.readmodel.questions.declared import declared as declared
from secaplane.readmodel.questions.referrers import Referrer as Referrer
from secaplane.readmodel.questions.referrers import outpaced as outpaced
from secaplane.readmodel.questions.referrers import referrers as referrers
from secaplane.readmodel.questions.referrers import sharing_referrers as sharing_referrers
from secaplane.readmodel.questions.resources import Orphan as Orphan
from secaplane.readmodel.questions.resources import QuarantinedResource as QuarantinedResource
from secaplane.readmodel.questions.resources import Row as Row
from secaplane.readmodel.questions.resources import below as below
from secaplane.readmodel.questions.resources import below_counted as below_counted
from secaplane.readmodel.questions.resources import decode_resource as decode_resource
from secaplane.readmodel.questions.resources import living_of as living_of
from secaplane.readmodel.questions.resources import orphans as orphans
from secaplane.readmodel.questions.resources import orphans_count as orphans_count
from secaplane.readmodel.questions.resources import page as page
from secaplane.readmodel.questions.resources import quarantine as quarantine
from secaplane.readmodel.questions.resources import quarantine_entries as quarantine_entries
from secaplane.readmodel.questions.resources import quarantined as quarantined
from secaplane.readmodel.questions.resources import resources_at as resources_at
from secaplane.readmodel.questions.resources import unsettled as unsettled
from secaplane.readmodel.questions.resources import unsettled_positions as unsettled_positions
from secaplane.readmodel.schema.checkpoints import Checkpoints as Checkpoints
from secaplane.readmodel.schema.checkpoints import checkpoint as checkpoint
from secaplane.readmodel.schema.checkpoints import checkpoints as checkpoints
from secaplane.readmodel.schema.checkpoints import locked_checkpoints as locked_checkpoints

"""The files of the notary: in a folder, or in a bucket."""

from pathlib import Path

from secaplane.audit.notary.log_files import FolderFiles, LogFiles
from secaplane.cli.config import Config
from secaplane.cli.settings import BadConfig


def log_files(config: Config) -> LogFiles:
    """Raises BadConfig where neither is set, or both are."""
    settings = config.notary
    if bool(settings.folder) == bool(settings.bucket):
        wrong = "both notary.folder and notary.bucket are" if settings.folder else "neither is"
        raise BadConfig(f"notary.folder or notary.bucket is needed: {wrong} set")
    if settings.folder:
        return FolderFiles(Path(settings.folder))
    try:
        from secaplane.audit.notary.bucket_files import BucketFiles
    except ImportError as error:
        raise BadConfig("notary.bucket needs the extra `secaplane[s3]`") from error
    bucket, _, prefix = settings.bucket.removeprefix("s3://").partition("/")
    return BucketFiles(
        bucket, prefix, endpoint=settings.bucket_endpoint, region=settings.bucket_region
    )

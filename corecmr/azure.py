"""Azure Blob storage as django-storages has it; needs requirements/azure.txt."""

from __future__ import annotations

from typing import Any

from azure.storage.blob import BlobServiceClient
from storages.backends import azure_storage


class AzureStorage(azure_storage.AzureStorage):
    """Heeds ``client_options`` with a connection string too, where the library forgets them: it
    would try for more than a minute before it says that nobody answers."""

    def _get_service_client(self) -> Any:
        return BlobServiceClient.from_connection_string(
            self.connection_string, **self.client_options
        )

"""Panko's configuration and storage on a database of ours."""

import datetime
import os
import tempfile

from panko import service, storage
from panko.storage import models


def configure(database, **api):
    """Panko's configuration for a database URL, without any file of the system's being read."""
    if database.startswith("postgres://"):
        database = "postgresql" + database.removeprefix("postgres")
    file = tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False)
    with file:
        settings = "".join(f"{key} = {value}\n" for key, value in api.items())
        file.write(f"[DEFAULT]\n{settings}[database]\nconnection = {database}\n")
    try:
        return service.prepare_service(["panko", "--config-file", file.name])
    finally:
        os.unlink(file.name)


def connect(conf):
    """Panko's storage, its tables made."""
    connection = storage.get_connection_from_config(conf)
    connection.upgrade()
    return connection


def event(document):
    """An event of ceilometer's wire shape as Panko's own model, as its publisher receives it."""
    return models.Event(
        document["message_id"],
        document["event_type"],
        datetime.datetime.fromisoformat(document["generated"]),
        [trait(*parts) for parts in document["traits"]],
        document.get("raw", {}),
    )


def trait(name, dtype, value):
    if dtype == models.Trait.DATETIME_TYPE:
        value = datetime.datetime.fromisoformat(value)
    return models.Trait(name, dtype, value)

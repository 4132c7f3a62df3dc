from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.errors import StoreLockedError
from gateway.service.data_folder import DataFolder, DataFolderError


def test_a_missing_folder_is_made_and_locked(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    folder = DataFolder(path)
    with pytest.raises(StoreLockedError, match="is in use by another process"):
        DataFolder(path)
    folder.release()
    DataFolder(path).release()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(DataFolderError, match="is not a folder"):
        DataFolder(path)
    with pytest.raises(DataFolderError, match=r"cannot use the data folder .*: Not a directory"):
        DataFolder(path / "below")
    assert path.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DataFolderError, match="Permission denied"):
        DataFolder(tmp_path)
    with pytest.raises(DataFolderError, match="Permission denied"):
        DataFolder(tmp_path / "new")

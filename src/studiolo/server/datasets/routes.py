"""REST of datasets. `{dataset}` is a name or an id."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from studiolo.contract.datasets import Dataset, DatasetCreate, DatasetUpdate
from studiolo.contract.models import Page
from studiolo.server.datasets.service import Datasets
from studiolo.server.http.identity import Allow
from studiolo.server.http.services import service
from studiolo.server.principal import Principal

router = APIRouter(prefix="/datasets", tags=["datasets"])
_Datasets = Annotated[Datasets, Depends(service("datasets"))]


@router.get("")
async def list_datasets(
    who: Annotated[Principal, Depends(Allow("dataset.list"))],
    datasets: _Datasets,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    everything: Annotated[bool, Query(alias="all", description="All of the platform (administrators).")] = False,
) -> Page[Dataset]:
    """Datasets that you may read somewhere, by name."""
    return await datasets.list_(who, everything=everything, cursor=cursor, limit=limit)


@router.post("", status_code=201)
async def create_dataset(
    form: DatasetCreate, who: Annotated[Principal, Depends(Allow("dataset.create"))], datasets: _Datasets
) -> Dataset:
    """Register a folder of the platform's machine."""
    return await datasets.create(who, form)


@router.patch("/{dataset}")
async def update_dataset(
    dataset: str,
    form: DatasetUpdate,
    who: Annotated[Principal, Depends(Allow("dataset.update"))],
    datasets: _Datasets,
) -> Dataset:
    """Change a dataset and who may read it; running sessions see it at once."""
    return await datasets.update(who, dataset, form)


@router.delete("/{dataset}", status_code=204)
async def delete_dataset(
    dataset: str, who: Annotated[Principal, Depends(Allow("dataset.delete"))], datasets: _Datasets
) -> Response:
    """Take a dataset off the register; the folder stays as it is."""
    await datasets.delete(who, dataset)
    return Response(status_code=204)

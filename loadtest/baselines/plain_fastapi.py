"""Plain FastAPI and torch: one endpoint, the pipeline in threads of each of uvicorn's workers."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import FastAPI, Request

from loadtest.baselines.settings import as_json, load_pipeline, read_settings


def create_app() -> FastAPI:
    """The application of one worker."""
    settings = read_settings()
    pipeline, pool = load_pipeline(settings), ThreadPoolExecutor(settings.at_once)
    app = FastAPI()

    async def pose(request: Request) -> dict[str, list[Any]]:
        image = await request.body()
        return as_json(await asyncio.get_running_loop().run_in_executor(pool, pipeline.pose, image))

    app.post("/predict")(pose)
    return app

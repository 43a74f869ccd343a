"""`GET /v1/models`: the models that the configuration knows, in Anthropic's shape.

https://platform.claude.com/docs/en/api/models-list
"""

from collections.abc import Mapping

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response

from claude_proxy.web.health import answer_json

# The date that Anthropic's list requires; the configuration does not know when a model came out.
_UNKNOWN_DATE = "1970-01-01T00:00:00Z"


class ModelsDoor:
    """Lists model ids with their display names."""

    def __init__(self, models: Mapping[str, str]) -> None:
        self._models = models

    async def answer(self, _: BaseRequest) -> Response:
        """All models on one page."""
        data = [
            {"type": "model", "id": model, "display_name": name, "created_at": _UNKNOWN_DATE}
            for model, name in self._models.items()
        ]
        ids = list(self._models)
        return answer_json(
            {
                "data": data,
                "has_more": False,
                "first_id": ids[0] if ids else None,
                "last_id": ids[-1] if ids else None,
            }
        )

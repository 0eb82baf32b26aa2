def add_hot_operations(result, **_):
    return result


def add_problems(result, **_):
    return result


def openapi_document(request): ...


from drf_spectacular.views import SpectacularSwaggerSplitView


class DocsView(SpectacularSwaggerSplitView):
    url_name = "openapi"

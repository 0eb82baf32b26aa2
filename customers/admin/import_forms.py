"""What one fills in to import: the file, and which of its columns is what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.html import format_html
from django.utils.safestring import SafeString

from customers.services.import_kinds import ImportField, ImportKind, import_kinds


class UploadForm(forms.Form):
    kind = forms.ChoiceField(label="What is in the file")
    file = forms.FileField(
        label="CSV file",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv,text/tab-separated-values"}),
        help_text="UTF-8. The first line names the columns; commas, semicolons or tabs divide them.",
    )

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        kinds = [(kind.name, kind.title) for kind in import_kinds()]
        self.fields["kind"] = forms.ChoiceField(label="What is in the file", choices=kinds)


class NothingForm(forms.Form):
    """A deed that needs nothing but to be meant."""


class SourceWidget(forms.MultiWidget):
    """A column, and a text for rows without one."""

    def __init__(self, label: str, columns: Sequence[str]) -> None:
        super().__init__(
            [
                forms.Select(
                    choices=[("", "–"), *((column, column) for column in columns)],
                    attrs={"aria-label": f"{label}: column"},
                ),
                forms.TextInput(
                    attrs={
                        "aria-label": f"{label}: for rows without one",
                        "placeholder": "or always …",
                        "autocomplete": "off",
                    }
                ),
            ]
        )

    def decompress(self, value: Any) -> list[Any]:
        return list(value or ("", ""))

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        return format_html('<span class="p-source">{}</span>', super().render(name, value, attrs, renderer))

    def id_for_label(self, id_: str) -> str:
        return f"{id_}_0"


class SourceField(forms.MultiValueField):
    """Where a field's values come from."""

    def __init__(self, field: ImportField, columns: Sequence[str], *, is_needed: bool) -> None:
        super().__init__(
            fields=(
                forms.ChoiceField(
                    choices=[("", "–"), *((column, column) for column in columns)], required=False
                ),
                forms.CharField(max_length=1000, required=False),
            ),
            widget=SourceWidget(field.label, columns),
            label=f"{field.label} (needed)" if is_needed else field.label,
            help_text=field.hint,
            required=False,
            require_all_fields=False,
        )

    def compress(self, data_list: Sequence[Any]) -> tuple[str, str]:
        column, text = data_list or ("", "")
        return column or "", text or ""


class MappingForm(forms.Form):
    """One line for each field of the kind. Their names are those by which a mapping's refusals name them."""

    def __init__(self, kind: ImportKind, columns: Sequence[str], *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        needed = {group[0] for group in kind.needs if len(group) == 1}
        for field in kind.fields:
            self.fields[_name(field)] = SourceField(field, columns, is_needed=field.name in needed)

    @staticmethod
    def initial_of(
        kind: ImportKind, mapping: Mapping[str, str], constants: Mapping[str, str]
    ) -> dict[str, tuple[str, str]]:
        return {
            _name(field): (mapping.get(field.name, ""), constants.get(field.name, ""))
            for field in kind.fields
        }

    @staticmethod
    def read(kind: ImportKind, data: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
        """The mapping and the constants that were filled in."""
        chosen = {field.name: data[_name(field)] or ("", "") for field in kind.fields}
        return (
            {name: column for name, (column, _) in chosen.items() if column},
            {name: text for name, (_, text) in chosen.items() if text},
        )


def _name(field: ImportField) -> str:
    return f"mapping.{field.name}"

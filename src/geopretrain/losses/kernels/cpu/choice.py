"""Which source explains a pixel best, and whether an unmoved one does as well."""

from __future__ import annotations

from geopretrain.losses.kernels.cpu.compiling import Array, kernel


@kernel
def choose(
    sample: int,
    errors: Array,
    identity: Array,
    automask: bool,
    average: bool,
    fractions: Array,
    sums: Array,
) -> None:
    """Choose among the errors ``B N H W`` of the warped and those, ``B H W``, of the unmoved sources.

    ``fractions`` gets what each warped source counts at each pixel, ``sums`` (``B 3``) the smallest error
    with and without the unmoved sources and the number of pixels where these are chosen; with equal errors
    they are, since they stand first among the candidates. An error that is not a number is the smallest.
    """
    sources, height, width = errors.shape[1:]
    smallest, unmasked, masked = 0.0, 0.0, 0
    for row in range(height):
        for column in range(width):
            best, least, total = 0, errors[sample, 0, row, column], errors[sample, 0, row, column]
            for source in range(1, sources):
                error = errors[sample, source, row, column]
                total += error
                if error < least:
                    best, least = source, error
            if total != total:
                best, least = _not_a_number(errors, sample, row, column), total
            value = total / sources if average else least
            unmoved = identity[sample, row, column]
            hidden = automask and value >= unmoved
            for source in range(sources):
                counts = average or source == best
                fraction = (1 / sources if average else 1.0) if counts and not hidden else 0.0
                fractions[sample, source, row, column] = fraction
            unmasked += value
            smallest += unmoved if hidden else value
            masked += hidden
    sums[sample, 0], sums[sample, 1], sums[sample, 2] = smallest, unmasked, masked


@kernel
def _not_a_number(errors: Array, sample: int, row: int, column: int) -> int:
    """Return the first source whose error is not a number, which one of them is."""
    source = 0
    while errors[sample, source, row, column] == errors[sample, source, row, column]:
        source += 1
    return source

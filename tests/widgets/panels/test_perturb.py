"""Perturbations are previewed and measured, those of one's own too."""

from __future__ import annotations

from on_screen import control, shown

from stcg_nb import widgets
from stcg_nb.case import Case
from stcg_nb.inputs.perturbations import PERTURBATIONS, register
from stcg_nb.interventions.perturbation_effects import sensitivities


def test_perturbations_of_ones_own_are_offered_and_measured(session):
    @register("upside_down", "turn it over")
    def upside_down(image, strength, rng):
        return image[::-1].copy()

    try:
        panel = widgets.perturbation_panel(session)
        assert "upside_down" in control(panel, "Perturbations").options
        control(panel, "Perturbations").value = ("upside_down", "gaussian_noise")
        panel.measure()
        case = Case.read(session.picture(), session.state.question, session.model, regions="grid:2x3")
        for one in sensitivities(case, ("upside_down", "gaussian_noise"), 0.5, 0):
            assert f"ΔW {one.delta_w:.4f} (JS {one.delta_w_js:.2f})" in shown(panel)
        assert shown(panel).count("ΔW 0") == 2
        control(panel, "Strength").value = 0.9  # what was measured is of another strength
        assert "ΔW 0" not in shown(panel)
        control(panel, "Perturbations").value = ()
        assert "at least one" in shown(panel)
    finally:
        # The registry is for adding only; a test leaves it as it found it.
        PERTURBATIONS.remove("upside_down")
        assert "upside_down" not in PERTURBATIONS

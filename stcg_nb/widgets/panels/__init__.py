"""The panels of a notebook, one a module, which registers it in `stcg_nb.widgets.panel.PANELS`."""

from django.db import models


class CatalogueModel(models.Model):
    """A base model that the stepper offers. Any other hub id or local folder can be typed."""

    name = models.CharField(max_length=120, unique=True)
    family = models.CharField(max_length=40)
    hub_id = models.CharField(max_length=200, unique=True, help_text="What a config's model.name holds.")
    parameters = models.PositiveBigIntegerField()
    context_length = models.PositiveIntegerField()
    licence = models.CharField(max_length=80)
    vram_gb = models.FloatField(help_text="GPU memory for LoRA GRPO in 16 bit with the default config.")
    gated = models.BooleanField(default=False, help_text="The hub asks for a token with an accepted licence.")
    notes = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["family", "parameters"]
        verbose_name = "base model"

    def __str__(self) -> str:
        return self.name

from __future__ import annotations

import pytest

from honed.ingest.language import language

SAMPLES = {
    "de": "Der Patient wurde nach der Operation mit einem Antibiotikum behandelt, weil sich die Wunde entzündet hatte.",
    "en": "The patient was treated with an antibiotic after the operation because the wound had become infected.",
    "es": "El paciente fue tratado con un antibiótico después de la operación porque la herida se había infectado en casa.",
    "fr": "Le patient a été traité avec un antibiotique après l'opération, car la plaie était infectée et il avait de la fièvre.",
    "it": "Il paziente è stato trattato con un antibiotico dopo l'operazione perché la ferita si era infettata nella notte.",
    "nl": "De patiënt werd na de operatie behandeld met een antibioticum omdat de wond was ontstoken en het niet beter werd.",
    "pl": "Pacjent był leczony antybiotykiem po operacji, ponieważ rana była zakażona i nie goiła się tak jak to jest.",
    "pt": "O paciente foi tratado com um antibiótico após a operação porque a ferida estava infetada e não sarava.",
    "ru": "Пациент после операции получал антибиотик, так как рана была инфицирована и не заживала так, как это ожидали врачи.",
    "sv": "Patienten behandlades med antibiotika efter operationen eftersom såret var infekterat och det inte blev bättre.",
    "zh": "患者在手术后接受了抗生素治疗，因为伤口感染了，医生建议他继续服药并在一周后复查。",
    "ja": "患者は手術後、傷が感染したため抗生物質で治療されました。一週間後に再診の予定です。",
}


@pytest.mark.parametrize("code", SAMPLES)
def test_a_sentence_is_enough(code: str) -> None:
    assert language(SAMPLES[code]) == code


@pytest.mark.parametrize(
    "text", ["", "fever", "12 34 56 78 90 12 34 56 78 90 12 34 56", "lorem ipsum dolor sit amet " * 9]
)
def test_unsure_is_empty(text: str) -> None:
    assert language(text) == ""

"""Every kind of prompt, by the name that becomes the row's `dataset`."""

from training.prompts.code import code_output
from training.prompts.documents import extraction, json_edit
from training.prompts.everyday import dates, units, word_problem
from training.prompts.knowledge import capitals, elements, translation
from training.prompts.logic import liars, ordering
from training.prompts.numbers import arithmetic, bases, roman, sequence
from training.prompts.prompt import Kind
from training.prompts.texts import counting, sorting, strings

KINDS: dict[str, Kind] = {
    "arithmetic": Kind("sums of up to six numbers", arithmetic),
    "bases": Kind("decimal to and from binary, octal and hexadecimal", bases),
    "capitals": Kind("capitals of up to five countries", capitals),
    "code_output": Kind("what a short Python program prints", code_output),
    "counting": Kind("how often a letter or word occurs", counting),
    "dates": Kind("the date some days before or after", dates),
    "elements": Kind("symbols and atomic numbers of chemical elements", elements),
    "extraction": Kind("one fact out of a message", extraction),
    "json_edit": Kind("a JSON object after some edits", json_edit),
    "liars": Kind("how many of some people lie", liars),
    "ordering": Kind("who is the tallest, or the second fastest", ordering),
    "roman": Kind("to and from Roman numerals", roman),
    "sequence": Kind("the next number of a sequence", sequence),
    "sorting": Kind("numbers and words in order", sorting),
    "strings": Kind("a word after some operations on its letters", strings),
    "translation": Kind("up to five words between English and Japanese", translation),
    "units": Kind("quantities in another unit", units),
    "word_problem": Kind("how many are left after some events", word_problem),
}

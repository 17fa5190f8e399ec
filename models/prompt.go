package models

// VacancyInstruction is the prompt of the reference system, for encoders that were trained with instructions, such as intfloat/multilingual-e5-large-instruct.
const VacancyInstruction = "Instruct: Classify the following extracted texts of occupation, skills and tasks from a Danish job vacancy into job category\nQuery: "

// PromptVacancy is the name that VacancyInstruction has among the prompts of such encoders.
const PromptVacancy = "vacancy"

// WithPrompt returns the card of the encoder that puts this prompt before every text: one of Prompts by its name, else the text as it stands. Another
// prompt gives other vectors, so that the card has another identity. An empty prompt leaves the card's own.
func (c EncoderCard) WithPrompt(prompt string) EncoderCard {
	text, ok := c.Prompts[prompt]
	if !ok {
		text = prompt
	}
	if !ok && prompt == "" || text == c.Prefix {
		return c
	}
	c.Prefix = text
	return c.Identified()
}

// The smallest family there can be: plain decoders under an architecture name of its own. check.py copies this folder
// to a place outside the repository and builds it from there.
#include "corbel/model/decoder_config.h"

namespace corbel {

ModelFamily elsewhere_family();

namespace {

Result<std::unique_ptr<TextModel>> make_elsewhere(const ModelSource& source, const Device& device) {
  CORBEL_ASSIGN(CausalLmDescription description, read_decoder_config(source));
  return make_causal_lm_model(std::move(description), "elsewhere", source, device);
}

}  // namespace

ModelFamily elsewhere_family() { return {"elsewhere", {"ElsewhereForCausalLM"}, make_elsewhere}; }

}  // namespace corbel

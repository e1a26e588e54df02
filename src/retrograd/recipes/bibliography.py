"""BibTeX of the papers the recipes stand on, by the keys recipes cite."""

from __future__ import annotations

BIBTEX: dict[str, str] = {
    "robertson2009bm25": """@article{robertson2009bm25,
  title={The Probabilistic Relevance Framework: {BM25} and Beyond},
  author={Robertson, Stephen and Zaragoza, Hugo},
  journal={Foundations and Trends in Information Retrieval}, volume={3}, number={4}, year={2009}
}""",
    "reimers2019sbert": """@inproceedings{reimers2019sbert,
  title={Sentence-{BERT}: Sentence Embeddings using Siamese {BERT}-Networks},
  author={Reimers, Nils and Gurevych, Iryna},
  booktitle={EMNLP}, year={2019}, eprint={1908.10084}, archivePrefix={arXiv}
}""",
    "wang2020minilm": """@inproceedings{wang2020minilm,
  title={{MiniLM}: Deep Self-Attention Distillation for Task-Agnostic
         Compression of Pre-Trained Transformers},
  author={Wang, Wenhui and Wei, Furu and Dong, Li and Bao, Hangbo and Yang, Nan and Zhou, Ming},
  booktitle={NeurIPS}, year={2020}, eprint={2002.10957}, archivePrefix={arXiv}
}""",
    "karpukhin2020dpr": """@inproceedings{karpukhin2020dpr,
  title={Dense Passage Retrieval for Open-Domain Question Answering},
  author={Karpukhin, Vladimir and Oguz, Barlas and Min, Sewon and Lewis, Patrick and Wu, Ledell and
          Edunov, Sergey and Chen, Danqi and Yih, Wen-tau},
  booktitle={EMNLP}, year={2020}, eprint={2004.04906}, archivePrefix={arXiv}
}""",
    "xiong2021ance": """@inproceedings{xiong2021ance,
  title={Approximate Nearest Neighbor Negative Contrastive Learning for Dense Text Retrieval},
  author={Xiong, Lee and Xiong, Chenyan and Li, Ye and Tang, Kwok-Fung and Liu, Jialin and
          Bennett, Paul and Ahmed, Junaid and Overwijk, Arnold},
  booktitle={ICLR}, year={2021}, eprint={2007.00808}, archivePrefix={arXiv}
}""",
    "hinton2015distillation": """@article{hinton2015distillation,
  title={Distilling the Knowledge in a Neural Network},
  author={Hinton, Geoffrey and Vinyals, Oriol and Dean, Jeff},
  year={2015}, eprint={1503.02531}, archivePrefix={arXiv}
}""",
    "ren2021rocketqav2": """@inproceedings{ren2021rocketqav2,
  title={{RocketQAv2}: A Joint Training Method for Dense Passage Retrieval and Passage Re-ranking},
  author={Ren, Ruiyang and Qu, Yingqi and Liu, Jing and Zhao, Wayne Xin and She, Qiaoqiao and Wu, Hua and
          Wang, Haifeng and Wen, Ji-Rong},
  booktitle={EMNLP}, year={2021}, eprint={2110.07367}, archivePrefix={arXiv}
}""",
    "cormack2009rrf": """@inproceedings{cormack2009rrf,
  title={Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods},
  author={Cormack, Gordon V. and Clarke, Charles L. A. and Buettcher, Stefan},
  booktitle={SIGIR}, year={2009}
}""",
    "montague2001normalization": """@inproceedings{montague2001normalization,
  title={Relevance Score Normalization for Metasearch},
  author={Montague, Mark and Aslam, Javed A.},
  booktitle={CIKM}, year={2001}
}""",
    "nogueira2019doc2query": """@article{nogueira2019doc2query,
  title={Document Expansion by Query Prediction},
  author={Nogueira, Rodrigo and Yang, Wei and Lin, Jimmy and Cho, Kyunghyun},
  year={2019}, eprint={1904.08375}, archivePrefix={arXiv}
}""",
    "nogueira2019doctttttquery": """@misc{nogueira2019doctttttquery,
  title={From doc2query to {docTTTTTquery}},
  author={Nogueira, Rodrigo and Lin, Jimmy},
  year={2019}
}""",
    "tay2022dsi": """@inproceedings{tay2022dsi,
  title={Transformer Memory as a Differentiable Search Index},
  author={Tay, Yi and Tran, Vinh Q. and Dehghani, Mostafa and Ni, Jianmo and Bahri, Dara and
          Mehta, Harsh and Qin, Zhen and Hui, Kai and Zhao, Zhe and Gupta, Jai and others},
  booktitle={NeurIPS}, year={2022}, eprint={2202.06991}, archivePrefix={arXiv}
}""",
    "zhuang2022dsiqg": """@article{zhuang2022dsiqg,
  title={Bridging the Gap Between Indexing and Retrieval for Differentiable Search Index
         with Query Generation},
  author={Zhuang, Shengyao and Ren, Houxing and Shou, Linjun and Pei, Jian and Gong, Ming and
          Zuccon, Guido and Jiang, Daxin},
  year={2022}, eprint={2206.10128}, archivePrefix={arXiv}
}""",
    "zhou2022ultron": """@article{zhou2022ultron,
  title={Ultron: An Ultimate Retriever on Corpus with a Model-based Indexer},
  author={Zhou, Yujia and Yao, Jing and Dou, Zhicheng and Wu, Ledell and Zhang, Peitian and Wen, Ji-Rong},
  year={2022}, eprint={2208.09257}, archivePrefix={arXiv}
}""",
    "rajput2023tiger": """@inproceedings{rajput2023tiger,
  title={Recommender Systems with Generative Retrieval},
  author={Rajput, Shashank and Mehta, Nikhil and Singh, Anima and Keshavan, Raghunandan H. and others},
  booktitle={NeurIPS}, year={2023}, eprint={2305.05065}, archivePrefix={arXiv}
}""",
    "zeghidour2021soundstream": """@article{zeghidour2021soundstream,
  title={{SoundStream}: An End-to-End Neural Audio Codec},
  author={Zeghidour, Neil and Luebs, Alejandro and Omran, Ahmed and Skoglund, Jan and Tagliasacchi, Marco},
  journal={IEEE/ACM Transactions on Audio, Speech, and Language Processing}, year={2021},
  eprint={2107.03312}, archivePrefix={arXiv}
}""",
    "caron2020swav": """@inproceedings{caron2020swav,
  title={Unsupervised Learning of Visual Features by Contrasting Cluster Assignments},
  author={Caron, Mathilde and Misra, Ishan and Mairal, Julien and Goyal, Priya and Bojanowski, Piotr and
          Joulin, Armand},
  booktitle={NeurIPS}, year={2020}, eprint={2006.09882}, archivePrefix={arXiv}
}""",
    "zeng2023ripor": """@article{zeng2023ripor,
  title={Scalable and Effective Generative Information Retrieval},
  author={Zeng, Hansi and Luo, Chen and Jin, Bowen and Sarwar, Sheikh Muhammad and Wei, Tianxin and
          Zamani, Hamed},
  year={2023}, eprint={2311.09134}, archivePrefix={arXiv}
}""",
    "decao2021genre": """@inproceedings{decao2021genre,
  title={Autoregressive Entity Retrieval},
  author={De Cao, Nicola and Izacard, Gautier and Riedel, Sebastian and Petroni, Fabio},
  booktitle={ICLR}, year={2021}, eprint={2010.00904}, archivePrefix={arXiv}
}""",
    "wang2026dgi": """@article{wang2026dgi,
  title={Differentiable Geometric Indexing for End-to-End Generative Retrieval},
  author={Wang and others},
  year={2026}, eprint={2603.10409}, archivePrefix={arXiv}
}""",
    "chen2025unisearch": """@article{chen2025unisearch,
  title={{UniSearch}: Rethinking Search System with a Unified Generative Architecture},
  author={Chen, Jiahui and Jiang, Xiaoze and Wang, Zhibo and Zhu, Quanzhi and Zhao, Junyao and others},
  year={2025}, eprint={2509.06887}, archivePrefix={arXiv}
}""",
    "zhu2024simvq": """@article{zhu2024simvq,
  title={Addressing Representation Collapse in Vector Quantized Models with One Linear Layer},
  author={Zhu, Yongxin and Li, Bocheng and Xin, Yifei and Xia, Zhihua and Xu, Linli},
  year={2024}, eprint={2411.02038}, archivePrefix={arXiv}
}""",
    "khandelwal2020knnlm": """@inproceedings{khandelwal2020knnlm,
  title={Generalization through Memorization: Nearest Neighbor Language Models},
  author={Khandelwal, Urvashi and Levy, Omer and Jurafsky, Dan and Zettlemoyer, Luke and Lewis, Mike},
  booktitle={ICLR}, year={2020}, eprint={1911.00172}, archivePrefix={arXiv}
}""",
    "sarwar2001itembased": """@inproceedings{sarwar2001itembased,
  title={Item-Based Collaborative Filtering Recommendation Algorithms},
  author={Sarwar, Badrul and Karypis, George and Konstan, Joseph and Riedl, John},
  booktitle={WWW}, year={2001}
}""",
    "deshpande2004topn": """@article{deshpande2004topn,
  title={Item-Based Top-{N} Recommendation Algorithms},
  author={Deshpande, Mukund and Karypis, George},
  journal={ACM Transactions on Information Systems}, volume={22}, number={1}, year={2004}
}""",
    "ludewig2018evaluation": """@article{ludewig2018evaluation,
  title={Evaluation of Session-Based Recommendation Algorithms},
  author={Ludewig, Malte and Jannach, Dietmar},
  journal={User Modeling and User-Adapted Interaction}, volume={28}, year={2018},
  eprint={1803.09587}, archivePrefix={arXiv}
}""",
    "kang2018sasrec": """@inproceedings{kang2018sasrec,
  title={Self-Attentive Sequential Recommendation},
  author={Kang, Wang-Cheng and McAuley, Julian},
  booktitle={ICDM}, year={2018}, eprint={1808.09781}, archivePrefix={arXiv}
}""",
    "klenitskiy2023dross": """@inproceedings{klenitskiy2023dross,
  title={Turning Dross Into Gold Loss: is {BERT4Rec} really better than {SASRec}?},
  author={Klenitskiy, Anton and Vasilev, Alexey},
  booktitle={RecSys}, year={2023}, eprint={2309.07602}, archivePrefix={arXiv}
}""",
    "yi2019sampling": """@inproceedings{yi2019sampling,
  title={Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations},
  author={Yi, Xinyang and Yang, Ji and Hong, Lichan and Cheng, Derek Zhiyuan and Heldt, Lukasz and
          Kumthekar, Aditee and Zhao, Zhe and Wei, Li and Chi, Ed},
  booktitle={RecSys}, year={2019}
}""",
    "morin2005hierarchical": """@inproceedings{morin2005hierarchical,
  title={Hierarchical Probabilistic Neural Network Language Model},
  author={Morin, Frederic and Bengio, Yoshua},
  booktitle={AISTATS}, year={2005}
}""",
    "levy2014neural": """@inproceedings{levy2014neural,
  title={Neural Word Embedding as Implicit Matrix Factorization},
  author={Levy, Omer and Goldberg, Yoav},
  booktitle={NeurIPS}, year={2014}
}""",
    "hinton2002experts": """@article{hinton2002experts,
  title={Training Products of Experts by Minimizing Contrastive Divergence},
  author={Hinton, Geoffrey E.},
  journal={Neural Computation}, volume={14}, number={8}, year={2002}
}""",
    "zhao2025gensr": """@article{zhao2025gensr,
  title={Unifying Search and Recommendation: A Generative Paradigm Inspired by Information Theory},
  author={Zhao, Jujia and Wang, Wenjie and Xu, Chen and Chen, Xiuying and Ren, Zhaochun and Verberne, Suzan},
  year={2025}, eprint={2504.06714}, archivePrefix={arXiv}
}""",
    "hou2025rpg": """@inproceedings{hou2025rpg,
  title={Generating Long Semantic {IDs} in Parallel for Recommendation},
  author={Hou, Yupeng and Li, Jiacheng and Shin, Ashley and Jeon, Jinsung and Santhanam, Abhishek and
          Shao, Wei and Hassani, Kaveh and Yao, Ning and McAuley, Julian},
  booktitle={KDD}, year={2025}, eprint={2506.05781}, archivePrefix={arXiv}
}""",
    "wang2024letter": """@inproceedings{wang2024letter,
  title={Learnable Item Tokenization for Generative Recommendation},
  author={Wang, Wenjie and Bao, Honghui and Lin, Xinyu and Zhang, Jizhi and Li, Yongqi and Feng, Fuli and
          Ng, See-Kiong and Chua, Tat-Seng},
  booktitle={CIKM}, year={2024}, eprint={2405.07314}, archivePrefix={arXiv}
}""",
    "yang2024liger": """@article{yang2024liger,
  title={Unifying Generative and Dense Retrieval for Sequential Recommendation},
  author={Yang, Liu and Paischer, Fabian and Hassani, Kaveh and others},
  year={2024}, eprint={2411.18814}, archivePrefix={arXiv}
}""",
    "ge2013opq": """@inproceedings{ge2013opq,
  title={Optimized Product Quantization for Approximate Nearest Neighbor Search},
  author={Ge, Tiezheng and He, Kaiming and Ke, Qifa and Sun, Jian},
  booktitle={CVPR}, year={2013}
}""",
}
